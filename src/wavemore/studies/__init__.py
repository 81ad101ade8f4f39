"""Studies: questions in TOML files that are answered by many training runs, and written up as a Markdown page.

How a study works, file by file: `file` reads the TOML file into a `Study` with its arms; `budget` gives arms equal
parameters or equal training time; `runner` trains every arm, several runs at once, each of them a `job`; `record` is
the result, `study.json`, with the verdicts; `page` makes the page and its figures.

Where the jobs of a study or of `tuning` run: `pool` opens `processes` of this machine, or the `cluster` behind a
`connection`, on whose workers `remote` runs.

Start with `file.read_study`, `runner.StudyRunner`, `record.read_record`, `record.verdicts` and `page.write_page`.
The TOML files in this folder are the studies that come with wavemore.
"""
