"""WHAT CAN BE WRONG WITH A RUN, found before a model is loaded or a file is written."""
