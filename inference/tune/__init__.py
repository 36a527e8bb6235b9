"""Decision rules that suit labelled scenes."""
