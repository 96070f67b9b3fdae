// Mutations of our own code, each a bug that we had or could have: the simulator has to find every one.
// `npm run simulate -- --mutations --write` searches their seeds anew, and keeps them in mutations.jsonl.

import type { Mutation } from './mutate.ts'

export const MUTATION_TABLE: readonly Mutation[] = [
  {
    name: 'token reused',
    why: 'a late answer settles the next alert in the slot',
    file: 'forward/delivery/jetstream/slots.ts',
    find: 'slot.token = issued++ * max + slot.index',
    replace: 'slot.token = slot.index',
  },
]
