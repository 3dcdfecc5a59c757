"""Safe grading of model-written code.

An answer never shares a process with its tests, expected values or verdict.

    pool (the league's process) ── jobs ──▶ judge (holds the tests) ── plain arguments ──▶ answer (holds only its own
    code)
                                                 ▲ plain values ◀──────────────────────────┘ forked by the zygote,
                                                 then confined

`pool.Grader` is the public face; `humaneval` reads HumanEval's formats. Nothing here imports torch, numpy or the rest
of the package, because the judge, the zygote and every answer run from these files alone.
"""
