"""`minidrop reproduce`: a grid of runs, its table and figures beside the paper's, and one page with all of it.

grid.py       which runs there are, and their folder (config.json)
execute.py    executing them: one after the other, or on a Dask cluster
published.py  what the paper reports
lock.py       one process at a time in the folder
terminal.py   what the terminal shows; wrong.py: which runs went wrong; advice.py: what to try next
table.py      table.md; figures.py: figure1.png ... figure4.png, diagnostics.png; page.py: report.html
compare.py    two folders side by side
"""
