"""Figures and tables of a paper-style report, redrawn from runs by one command.

One file a figure or table; a new file with an ``ITEM`` needs no line elsewhere. The
results of the paper (PreFIQs, arXiv:2605.13396) that runs give are among them; the
paper's own numbers of tables and figures are not known here, so files are called by
what they show, and say which of its results that is.
"""
