// STUB, replaced at the merge: the kinds of faults of a toy world.

export const FAULTS = { late: {}, lost: {}, double: {} }
