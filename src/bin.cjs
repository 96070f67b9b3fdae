#!/usr/bin/env node
// The command falco-nats: starts faster with code that was compiled before, where there is some.
// A signal that comes while the code is loaded waits for it. By default it would end us without a word, or,
// where we are the first process of a container, be lost.
for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(name, () => {})
require('node:module').enableCompileCache(`${__dirname}/compiled`)
require(process.argv[2] === 'respond' ? './respond.js' : './main.js')
