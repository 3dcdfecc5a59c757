"""Functions to write, as a domain: how they are made, read and judged.

steps      single operations on numbers, lists, texts and dictionaries, in words and in Python
exercises  chains of steps: statement, reference program, hidden tests
replies    the program in a reply
grading    whether a program passes its tests, in the sandbox
rows       the same from rows of HumanEval's or MBPP's form
"""
