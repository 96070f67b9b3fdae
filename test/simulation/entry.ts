// The simulator as a worker loads it. A test of the machinery around it loads another with the same exports.

export { FAULTS } from './faults.ts'
export { type Scenario, scenarioOf } from './scenario.ts'
export { type Result, simulate, type Violation } from './simulate.ts'
