"""HTML pages of runs and studies, each one file without network or scripts.

Public: `report.report` makes the page, `report.subject` finds the run or the study of a name.
"""
