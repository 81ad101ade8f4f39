"""Run folders: everything that wavemore keeps on disk, and training into them.

- `run.Run`: a run folder: config, model, checkpoint, metrics, summary.
- `find.find_run`, `find_runs`, `find_group`, `new_run`: runs by path, name or experiment.
- `training`: `config_of`, `train`, `finish`: a training that writes to its run folder.
- `config.RunConfig`, `record.Record`, `record.Summary`: the content of the files.
- `entry.read_entry`: a run as far as its files can be read.
- `identity`: whether two runs have the same data or recipe, and what differs.
"""
