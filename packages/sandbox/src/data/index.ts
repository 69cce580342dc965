export { type GenerateOptions, generateRecords } from './interim/generate.js'
export { type Person, people } from './interim/people.js'
export { DataError, loadFolder } from './load-folder.js'
