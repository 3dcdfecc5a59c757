"""One frozen base model, the bank of its adapters, and the two engines that run them.

Arrays carry their axes as a suffix: `logits_RV` has one row per sample and one column per token of the vocabulary.

    N  tokens, flat: those of a packed pass, or those that carry loss
    M  keys of a packed pass: its N tokens, then those whose keys and values are known from before
    R  rows: samples that are decoded together
    B  distinct prompts of a session
    G  rows that share a prompt; replies of one group
    T  tokens of a sequence
    L  layers
    H  hidden size
    F  inner size of the MLP
    I  inputs of a linear layer
    O  outputs of a linear layer
    A  query heads
    K  key-value heads
    E  query heads that share a key-value head: A / K
    X  heads of a fused projection: A + K for queries and keys, A + 2K with values
    D  size of a head
    V  vocabulary
    W  words of a packed grammar mask, 32 tokens each
    S  versions of an adapter stack
    Z  rank of a fused projection's adapters: the number of its linears times the rank
    P  values of one adapter, flat
    J  tiles of an attention batch
    Q  queries of a tile
    C  keys of a tile

A digit is an axis of that length: `kv_2KTD` holds keys at 0 and values at 1. Where one axis counts pairs, as after a
flatten, a comment gives the product, for example [J·Q, A, D].
"""
