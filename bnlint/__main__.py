"""`python -m bnlint`: the command, in an interpreter that may have no other name."""

import sys

if __name__ == "__main__":
    # Python puts the current folder first (not with -P or -I): nothing is imported from there.
    if not getattr(sys.flags, "safe_path", False) and not sys.flags.isolated:
        del sys.path[0]

    from bnlint.cli.main import main

    main()
