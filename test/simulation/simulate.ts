// STUB, replaced at the merge: slots and answers that come late, are lost or come twice.

import { createSlots } from '../../src/forward/delivery/jetstream/slots.ts'
import type { Scenario } from './scenario.ts'
import { createVirtualTime, settled } from './virtual-clock.ts'

export interface Violation {
  readonly invariant: string
  readonly detail: string
  readonly at: number
}

export interface Result {
  readonly violation: Violation | undefined
  readonly trace: readonly string[]
  readonly facts: Record<string, number>
}

export async function simulate(
  { config, alerts, faults }: Scenario,
  { trace: isTraced = false } = {},
): Promise<Result> {
  const time = createVirtualTime()
  const slots = createSlots<number>(config.slots)
  const waiting = [...alerts]
  const stored = new Map<number, number>()
  const facts = { answers: 0, lost: 0, double: 0 }
  const trace: string[] = []
  let violation: Violation | undefined
  let [late, lost, double] = [0, 0, 0]
  const say = (text: () => string) => isTraced && trace.push(`${time.now()} ms  ${text()}`)

  function publish(): void {
    while (waiting[0] && waiting[0].at <= time.now()) {
      const slot = slots.take(waiting[0].number, 0)
      if (!slot) return
      const { number } = waiting.shift()!
      const { token } = slot
      say(() => `publishes alert ${number} with token ${token}`)
      const answer = () => {
        const found = slots.byToken(token)
        if (!found) return
        say(() => `an answer to token ${token} settles alert ${found.delivery}`)
        if (found.delivery !== number)
          violation = {
            invariant: 'an answer settles its own alert',
            detail: `alert ${found.delivery} by the answer to ${number}`,
            at: time.now(),
          }
        stored.set(number, time.now())
        slots.release(found)
        facts.answers++
        publish()
      }
      const ms = 5 + late
      late = 0
      if (lost-- > 0) {
        facts.lost++
        time.at(time.now() + 500, answer)
      } else time.at(time.now() + ms, answer)
      if (double > 0) {
        facts.double++
        time.at(time.now() + ms + double, answer)
      }
      double = 0
    }
  }

  for (const { at } of alerts) time.at(at, publish)
  for (const { at, kind, parameters } of faults)
    time.at(at, () => {
      say(() => `${kind} ${JSON.stringify(parameters)}`)
      if (kind === 'late') late = Number(parameters.ms)
      if (kind === 'lost') lost = 1
      if (kind === 'double') double = Number(parameters.ms)
    })
  while (!violation && time.next()) await settled()
  if (!violation && stored.size < alerts.length)
    violation = { invariant: 'every alert is stored', detail: '', at: time.now() }
  return { violation, trace, facts }
}
