"""Where does a league pay? The experiment of docs/pays.md: arms, cells, statistics and the page."""
