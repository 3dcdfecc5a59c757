#!/bin/sh
# From a bare file of 500 questions to a trained, exported and graded expert: docs/tutorials/own_data.md, with times.
set -e
cd "$(dirname "$0")"
timed() { begun=$(date +%s); "$@"; echo "[$(($(date +%s) - begun)) s] $*"; }
timed python make_questions.py
timed league train own_data.yaml
timed league evaluate runs/own_data cashier base --split test --problems 40
timed league export runs/own_data --agent cashier --out experts
