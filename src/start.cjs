#!/usr/bin/env node
// The command falco-nats: starts faster with code that was compiled before, where there is some.
require('node:module').enableCompileCache(`${__dirname}/compiled`)
require(process.argv[2] === 'respond' ? './respond.js' : './main.js')
