// All steps, by the name that the file gives them.

import { captureLogs } from './capture-logs.ts'
import { cordonNode } from './cordon-node.ts'
import { deletePod } from './delete-pod.ts'
import { isolatePod } from './isolate-pod.ts'
import { labelPod } from './label-pod.ts'
import { module } from './module.ts'
import { runJob } from './run-job.ts'
import { slack } from './slack.ts'
import type { Step } from './step.ts'
import { taintNode } from './taint-node.ts'
import { webhook } from './webhook.ts'

// biome-ignore lint/suspicious/noExplicitAny: each checks its own parameters
const steps: readonly Step<any>[] = [
  slack,
  webhook,
  deletePod,
  isolatePod,
  labelPod,
  taintNode,
  cordonNode,
  captureLogs,
  runJob,
  module,
]

export const STEPS: ReadonlyMap<string, Step> = new Map(steps.map((step) => [step.name, step]))
