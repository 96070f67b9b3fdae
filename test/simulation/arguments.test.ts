import { expect, it } from 'vitest'
import { argumentsOf } from './arguments.ts'

it('runs a range of seeds, or one', () => {
  expect(argumentsOf(['--seeds', '200', '--from', '7'])).toMatchObject({ from: 7, count: 200 })
  expect(argumentsOf(['--seed', '7'])).toMatchObject({ from: 7, count: 1, workers: 1 })
  expect(argumentsOf([])).toMatchObject({ from: 1, trace: false, all: false })
})

it.each([
  [['--sed', '1'], '--sed'],
  [['--seeds', 'many'], '--seeds must be a whole number from 1, not many'],
  [['--seeds', '0'], '--seeds'],
  [['--workers', '-1'], '--workers'],
  [['--from', '1.5'], '--from'],
  [['1'], '1'],
  [['--write'], '--mutations'],
])('refuses %j in one line', (argv, text) => {
  expect(() => argumentsOf(argv)).toThrow(text)
  expect(() => argumentsOf(argv)).not.toThrow('\n')
})
