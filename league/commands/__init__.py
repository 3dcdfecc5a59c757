"""The commands of the `league` program, one file each; `league.cli` registers them."""
