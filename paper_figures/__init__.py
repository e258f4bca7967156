"""Figures and tables of a paper-style report, redrawn from runs by one command.

One file a figure or table; a new file with an ``ITEM`` needs no line elsewhere. Numbers
are those of this report. The results of the paper (PreFIQs, arXiv:2605.13396) that runs
give are among them, and each file says which of them it is; how the paper numbers its
own is not known here.
"""
