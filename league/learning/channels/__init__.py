"""The ways in which knowledge reaches an agent's weights, one algorithm a file.

    own samples      league.learning.advantages   an agent's own replies, by MAGRPO
    worked replies   worked_replies               a teacher's right replies to fresh problems
    lessons          lessons                      what was answered right with an example, learned without it
    distillation     distillation                 towards the teacher, on the agent's own replies

`gate` says from whom a student may learn, and `waiting` keeps what it holds back. `replay` mixes examples learned
before into the steps of new ones. Every sample names its channel, so what each caused can be measured.
"""
