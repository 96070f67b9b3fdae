// What is generated is what the generator gives: `npm run fix` renews it.

import { expect, it } from 'vitest'
import { readText, TARGETS } from '../../deploy/generate.ts'

it.each(TARGETS)('$file is up to date, or run npm run fix', ({ file, generate }) => {
  const text = readText(file)
  expect(generate(text)).toBe(text)
})
