"""What people see: figures, tables, transcripts, the HTML report and model cards.

`queries` turns a run's store into the plain values of `views`; `figures` and `text` draw those.

The store is the truth and nothing here is: whatever a picture shows can be rebuilt from the database at any time. This
package never imports the loop, and importing it costs nothing; pandas, matplotlib, rich, jinja2 and tensorboard are
imported by the files that work with them.
"""
