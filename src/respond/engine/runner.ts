// One alert through one playbook: is it meant, may it be acted upon, then step by step.

import { hash } from 'node:crypto'
import { parseAlert } from '../../shared/alert/alert.ts'
import { messageOf, printable } from '../../shared/errors.ts'
import type { Playbook } from '../playbook/playbook.ts'
import { isOwn } from '../playbook/subject-patterns.ts'
import type { StepContext } from '../steps/step.ts'
import { coolingTarget, takeTarget, waitForRoom } from './limits.ts'
import { matches } from './match.ts'
import type { Arrival, Run, RunnerParts, RunResult } from './run.ts'
import { runSteps } from './run-steps.ts'

export interface Runner {
  /** Never rejects. */
  handle(playbook: Playbook, arrival: Arrival): Promise<RunResult>
}

/** 22 characters of base64 are 132 bits. */
const ID_LENGTH = 22
const IGNORED: RunResult = { kind: 'done', matched: false }
const NO_ALERT = { invalid_json: 'not JSON', not_an_alert: 'without priority or rule' } as const

export const createRunner = (parts: RunnerParts): Runner => ({
  handle: (playbook, arrival) =>
    handle(parts, playbook, arrival).catch((error) => ({
      kind: 'retry',
      reason: messageOf(error),
    })),
})

async function handle(
  parts: RunnerParts,
  playbook: Playbook,
  arrival: Arrival,
): Promise<RunResult> {
  const { subject, payload, delivery } = arrival
  // Before it is read: a dead letter that is no alert would become another.
  if (isOwn(subject)) return IGNORED
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  const alert = parseAlert(bytes, 0, bytes.length)
  if (typeof alert === 'string')
    return { kind: 'giveUp', reason: `this is no alert: ${NO_ALERT[alert]}`, invalid: true }
  const why = matches(playbook, subject, alert)
  if (why !== true) {
    parts.log.debug({ playbook: playbook.name, subject: printable(subject), why }, 'not meant')
    return IGNORED
  }
  const id = idOf(arrival)
  const about = {
    alert: alert as StepContext['alert'],
    id,
    subject,
    playbook: playbook.name,
    dryRun: parts.plan.dryRun,
  }
  const run: Run = { ...parts, playbook, delivery, about, acted: false, found: {} }
  const target = coolingTarget(playbook, alert)
  if (target !== undefined && !(await takeTarget(run, target)))
    return { kind: 'done', matched: true }
  const result = (await waitForRoom(run)) ?? (await runSteps(run))
  // An alert that could do nothing, maybe about a pod that is gone, must not shield the next one's.
  if (target !== undefined && !run.acted) await parts.state.release(playbook.name, target, id)
  return result
}

/**
 * The same at each delivery, and where a forwarder sends the same line twice. A short id of another
 * publisher may be a counter that begins anew, and the next alert would pass for this one.
 */
export function idOf({ msgIdHeader, subject, payload }: Arrival): string {
  if (msgIdHeader !== undefined && /^[A-Za-z0-9_-]{22,64}$/.test(msgIdHeader)) return msgIdHeader
  const both = Buffer.concat([Buffer.from(`${subject}\n`), payload])
  return hash('sha256', both, 'base64url').slice(0, ID_LENGTH)
}
