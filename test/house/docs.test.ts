// The README's tables of options are made from the table in the code. `npm run fix` renews them.

import { readFileSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { OPTIONS, SAMPLE_OPTIONS } from '../../src/forward/options.ts'
import { RESPOND_OPTIONS } from '../../src/respond/options.ts'
import { optionsMarkdown } from '../../src/shared/options/table.ts'

const README = new URL('../../README.md', import.meta.url)

it.each([
  ['options', OPTIONS],
  ['sample options', SAMPLE_OPTIONS],
  ['respond options', RESPOND_OPTIONS],
])('has the %s as the program has them', (name, table) => {
  const text = readFileSync(README, 'utf8')
  const [start, end] = [`<!-- ${name} -->\n`, `\n<!-- /${name} -->`]
  const [from, to] = [text.indexOf(start) + start.length, text.indexOf(end)]
  expect(from).toBeGreaterThan(start.length)
  expect(to).toBeGreaterThan(from)
  if (process.env.UPDATE_README)
    writeFileSync(README, text.slice(0, from) + optionsMarkdown(table) + text.slice(to))
  else expect(text.slice(from, to)).toBe(optionsMarkdown(table))
})
