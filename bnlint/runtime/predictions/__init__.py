"""Has a classifier collapsed, do its two modes agree?"""
