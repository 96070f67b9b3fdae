// The README's tables of options and rejects are made from the tables in the code. `npm run fix` renews them.

import { readFileSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { rejectRows } from '../../src/forward/accounting/rejects.ts'
import { OPTIONS, SAMPLE_OPTIONS } from '../../src/forward/options.ts'
import { RESPOND_OPTIONS } from '../../src/respond/options.ts'
import { optionsMarkdown } from '../../src/shared/options/table.ts'

const README = new URL('../../README.md', import.meta.url)

const rejectsMarkdown = () =>
  [
    '| rejected because | meaning | lost? |',
    '|---|---|---|',
    ...rejectRows().map(
      ([reason, { meaning, lost }]) =>
        `| \`${reason}\` | ${meaning} | ${lost ? 'yes: exit code 1' : 'no'} |`,
    ),
  ].join('\n')

it.each([
  ['options', optionsMarkdown(OPTIONS)],
  ['sample options', optionsMarkdown(SAMPLE_OPTIONS)],
  ['respond options', optionsMarkdown(RESPOND_OPTIONS)],
  ['rejects', rejectsMarkdown()],
])('has the %s as the program has them', (name, markdown) => {
  const text = readFileSync(README, 'utf8')
  const [start, end] = [`<!-- ${name} -->\n`, `\n<!-- /${name} -->`]
  const [from, to] = [text.indexOf(start) + start.length, text.indexOf(end)]
  expect(from).toBeGreaterThan(start.length)
  expect(to).toBeGreaterThan(from)
  if (process.env.UPDATE_README)
    writeFileSync(README, text.slice(0, from) + markdown + text.slice(to))
  else expect(text.slice(from, to)).toBe(markdown)
})
