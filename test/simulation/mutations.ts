// Mutations of our own code, each a bug that we had or could have: the simulator has to find every one.
// `npm run simulate -- --mutations --write` searches their seeds anew, and keeps them in mutations.jsonl.

import type { Mutation } from './mutate.ts'
import { ACCOUNT_MUTATIONS } from './mutations-accounts.ts'
import { BUFFER_MUTATIONS } from './mutations-buffer.ts'
import { DELIVERY_MUTATIONS } from './mutations-delivery.ts'

export const MUTATION_TABLE: readonly Mutation[] = [
  ...BUFFER_MUTATIONS,
  ...DELIVERY_MUTATIONS,
  ...ACCOUNT_MUTATIONS,
]
