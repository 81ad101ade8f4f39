"""From files to arrays of token ids. This package does not import torch.

Start with these names:

- `datasets.load_corpus` reads, splits and encodes a data set or a file; `datasets.detect_format` guesses its format.
- `layout.Layout` says where the items of a table or of JSON are, their counts and labels too; `recognize.recognize`
  finds that out, and `items.ItemReader` takes them out. `opening.open_file` opens files, compressed ones too.
  `other_data.read_other` reads a file for a trained model.
- `corpus.Corpus` is what it returns: a `line_corpus.LineCorpus` (a list, one item per line) or a
  `text_corpus.TextCorpus` (one continuous text).
- `parts.Part` is one part of the split, a `LinePart` or a `TextPart`; `parts.windows` gives the contexts of targets.
- `vocabulary.Vocabulary` maps characters to ids and back.
- `lines.Lines` holds many lines compactly, with their counts and `labels.LabelColumn`.
- `reports.LineReport` and `reports.TextReport` say what was read.
"""
