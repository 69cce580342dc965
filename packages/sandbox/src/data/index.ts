export { generateRecords, type Person, type Proxy, people, proxies } from './generate.js'
export { loadFolder, RecordFileError } from './load-folder.js'
