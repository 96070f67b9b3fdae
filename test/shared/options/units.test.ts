import { expect, it } from 'vitest'
import { formatBytes, parseBytes, parseDuration } from '../../../src/shared/options/units.ts'

it.each([
  ['65536', 65536],
  ['1MiB', 1048576],
  ['512K', 524288],
  ['512 kb', 524288],
  ['2g', 2147483648],
  ['7B', 7],
  ['', undefined],
  ['-1', undefined],
  ['1.5MiB', undefined],
  ['1TiB', undefined],
  ['MiB', undefined],
])('reads the size %j as %s', (text, bytes) => {
  expect(parseBytes(text)).toBe(bytes)
})

it.each([
  ['10s', 10_000],
  ['500ms', 500],
  ['2m', 120_000],
  ['1h', 3_600_000],
  ['0.5s', 500],
  ['10', undefined],
  ['-1s', undefined],
  ['s', undefined],
  ['1d', 86_400_000],
  ['1w', undefined],
])('reads the duration %j as %s ms', (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds)
})

it.each([
  [512, '512 bytes'],
  [1536, '1.5 KiB'],
  [1048576, '1 MiB'],
])('shows %i as %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})
