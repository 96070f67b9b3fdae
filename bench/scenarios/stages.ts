// Each stage alone, in this process, so that a regression has a place.

import { readFileSync } from 'node:fs'
import { append, createBatchPool } from '../../src/forward/encoding/batch.ts'
import { createEncoder } from '../../src/forward/encoding/encoder.ts'
import { createFound, scan } from '../../src/forward/encoding/scanner.ts'
import { createLineSplitter } from '../../src/forward/input/line-splitter.ts'
import { parseAlert } from '../../src/shared/alert/alert.ts'
import { parseTemplate, subjectOf } from '../../src/shared/alert/subject.ts'
import type { Suite } from '../support/suite.ts'

const READ_BYTES = 64 * 1024
const BATCH_BYTES = 256 * 1024
const PASSES = 20

export async function stages(suite: Suite): Promise<void> {
  const text = readFileSync(suite.file().path)
  const ends: number[] = []
  for (let at = 0; at < text.length; at = ends.at(-1)! + 1) ends.push(text.indexOf(10, at))
  const each = (visit: (start: number, end: number) => void) => () => {
    let start = 0
    for (const end of ends) {
      visit(start, end)
      start = end + 1
    }
  }
  const template = parseTemplate('falco.<priority>.<rule>')
  const splitter = createLineSplitter(1024 * 1024, { line() {}, tooLong() {} })
  const found = createFound()
  const encoder = createEncoder((alert) => subjectOf(template, alert))
  const reading = encoder.read(text, 0, ends[0]!)
  const alert = parseAlert(text, 0, ends[0]!)
  if (typeof reading === 'string' || typeof alert === 'string') throw new Error('not an alert')
  const pool = createBatchPool(BATCH_BYTES)
  let batch = pool.borrow()
  const all = [
    {
      name: 'split into lines',
      pass: () => {
        for (let at = 0; at < text.length; at += READ_BYTES)
          splitter.push(text.subarray(at, at + READ_BYTES))
      },
    },
    { name: 'scan', pass: each((start, end) => void scan(text, start, end, found)) },
    {
      name: 'scan and find the kind',
      pass: each((start, end) => void encoder.read(text, start, end)),
    },
    {
      name: 'parse, where scan is in doubt',
      pass: each((start, end) => void parseAlert(text, start, end)),
    },
    { name: 'subject, for a new kind', pass: each(() => void subjectOf(template, alert)) },
    {
      name: 'copy into a batch',
      pass: each((start, end) => {
        if (batch.used + end - start > BATCH_BYTES) {
          pool.giveBack(batch)
          batch = pool.borrow()
        }
        append(batch, reading, text, start, end)
      }),
    },
  ]
  await suite.compare(
    `stages: ${ends.length} alerts`,
    all,
    async ({ pass }) => {
      pass()
      const from = performance.now()
      for (let n = 0; n < PASSES; n++) pass()
      const ns = ((performance.now() - from) / PASSES) * 1e6
      return { 'ns/alert': ns / ends.length, 'ns/byte': ns / text.length }
    },
    { ratios: false },
  )
}
