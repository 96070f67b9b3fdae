import { expect, it } from 'vitest'
import {
  leastSevereKept,
  WHEN_FULL,
  type WhenFull,
  whatIfFull,
} from '../../../src/forward/buffer/when-full.ts'
import { PRIORITIES } from '../../../src/shared/alert/alert.ts'

const BELOW: Record<WhenFull, string> = {
  block: '',
  drop: 'emergency alert critical error warning notice informational debug',
  'drop-below-emergency': 'alert critical error warning notice informational debug',
  'drop-below-alert': 'critical error warning notice informational debug',
  'drop-below-critical': 'error warning notice informational debug',
  'drop-below-error': 'warning notice informational debug',
  'drop-below-warning': 'notice informational debug',
  'drop-below-notice': 'informational debug',
  'drop-below-informational': 'debug',
}
const KEPT: Record<WhenFull, number> = {
  block: 7,
  drop: -1,
  'drop-below-emergency': 0,
  'drop-below-alert': 1,
  'drop-below-critical': 2,
  'drop-below-error': 3,
  'drop-below-warning': 4,
  'drop-below-notice': 5,
  'drop-below-informational': 6,
}

it('has these policies', () => {
  expect([...WHEN_FULL]).toEqual(Object.keys(BELOW))
})

it.each(WHEN_FULL)('%s: which priorities may be dropped', (policy) => {
  const kept = leastSevereKept(policy)
  expect(kept).toBe(KEPT[policy])
  expect(PRIORITIES.filter((_, severity) => severity > kept).join(' ')).toBe(BELOW[policy])
})

it.each([
  ['block', 'Falco waits'],
  ['drop', 'the least severe alerts are dropped'],
  ['drop-below-emergency', 'alerts below emergency are dropped, then Falco waits'],
  ['drop-below-error', 'alerts below error are dropped, then Falco waits'],
] as const)('%s: is logged as "%s"', (policy, text) => {
  expect(whatIfFull(policy)).toBe(text)
})
