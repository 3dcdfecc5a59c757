"""Rows of data sets, read where they lie.

files            which files a path or a hub's data set comes to, and which split each belongs to
readers          rows of JSON lines, CSV and Parquet: one after the other, or one by its place
fields           a question, an answer, a solution from a row: by column, by template, from a chat
near_duplicates  groups of questions that are nearly the same
index            all of it together: where the rows of each split lie, kept in the cache
"""
