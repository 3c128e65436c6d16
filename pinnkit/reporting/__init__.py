"""What a run leaves behind and says: run folder, figures, progress, tables."""
