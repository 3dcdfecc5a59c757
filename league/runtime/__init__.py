"""THE LEAGUE IN MEMORY: how it is made or restored, its checkpoints, and the export of its agents."""
