// One API server for the tests of all steps: each start of one takes both cores for a while.

import type { TestProject } from 'vitest/node'
import { hasKubernetes, startKubernetes } from './kubernetes.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Its admin's. */
    kubeconfig: string
  }
}

export default async function setup(project: TestProject) {
  if (!hasKubernetes) return undefined
  const kubernetes = await startKubernetes()
  project.provide('kubeconfig', kubernetes.kubeconfig)
  return () => kubernetes[Symbol.asyncDispose]()
}
