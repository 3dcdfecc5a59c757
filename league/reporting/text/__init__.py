"""Views as text: terminal tables, transcripts, the HTML report, model cards."""
