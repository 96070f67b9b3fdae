// What a script consists of. To add a kind of step, add its row to one of the tables.

import { CONNECTION_STEPS } from './connection-steps.ts'
import { JETSTREAM_STEPS } from './jetstream-steps.ts'
import { LIFE_STEPS } from './life-steps.ts'
import { SERVER_STEPS } from './server-steps.ts'
import type { StepKind } from './step.ts'

const KINDS = { ...CONNECTION_STEPS, ...LIFE_STEPS, ...JETSTREAM_STEPS, ...SERVER_STEPS }

export type StepName = keyof typeof KINDS

export const STEPS: Readonly<Record<StepName, StepKind>> = KINDS
