// As bare as Node gets: says a word for the start-up, then sleeps for the memory.

console.log('ready')
setInterval(() => {}, 2 ** 30)
