"""Go's text templates, as Docker's users write them after `--format`: text -> tokens -> nodes -> text."""
