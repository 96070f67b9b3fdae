// The real Falco in front of our bundle and a real nats-server: each alert is delivered, or in the sums with its reason.

import { writeFileSync } from 'node:fs'
import { afterAll, describe, it } from 'vitest'
import { type Falco, prepareFalco, whyNoFalco } from '../support/falco.ts'
import { SCENARIOS } from './scenarios.ts'
import { play, type Row, whyNotAsNobody } from './stage.ts'
import { page } from './table.ts'

const why = whyNoFalco()
if (why) console.warn(`skipped: the real Falco: ${why}`)
const rows: Row[] = []
/** For all scenarios that change nothing in its configuration, and leave it well. */
let shared: Falco | undefined

describe.skipIf(why)('the real Falco', () => {
  const whyNobody = why ?? whyNotAsNobody()
  afterAll(async () => {
    await shared?.[Symbol.asyncDispose]()
    // Only when all rows are there and right.
    const file = process.env.FALCO_MEASURED
    if (file && rows.length === SCENARIOS.length) writeFileSync(file, page(rows, new Date()))
  })

  it.for(SCENARIOS)('$name', async (scenario, { skip }) => {
    if (scenario.user) skip(whyNobody !== undefined, whyNobody)
    const isShared = !scenario.falco && !scenario.input && !scenario.user
    if (isShared) shared ??= await prepareFalco()
    try {
      rows.push(await play(scenario, isShared ? shared : undefined))
    } catch (error) {
      if (isShared) {
        await shared![Symbol.asyncDispose]()
        shared = undefined
      }
      throw error
    }
  })
})
