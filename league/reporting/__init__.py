"""WHAT PEOPLE SEE: figures, tables, transcripts, the HTML report and model cards, each a function
of plain data (`views`).

The store is the truth and nothing here is: whatever a picture shows can be rebuilt from the database at any time.
This package never imports the loop, and importing it costs nothing; matplotlib, rich, jinja2 and tensorboard are
imported by the files that draw with them.
"""
