// How the site's search ranks a result: Sphinx's own numbers, and a rule's page before guides that
// mention the same words, since it says how to repair the mistake; causes before what they show as
// in checkpoints and predictions (BN5, BN6).
var Scorer = {
  score: ([docname, title, anchor, descr, score, filename, kind]) =>
    /^rules\/BN[0-47]\d+$/.test(docname) ? score + 21
    : /^rules\/BN\d+$/.test(docname) ? score + 20
    : score,
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
