// The same as protocol.py, for systems on Node.

const fs = require('node:fs');
const readline = require('node:readline');

const CROP_SIDE = 48;

// What a library prints goes to standard error.
console.log = console.info = console.debug = console.error;

const say = (answer) => fs.writeSync(1, `${JSON.stringify(answer)}\n`);

/** How many threads a picture may have; undefined for as many as the library takes itself. */
function threads() {
  const given = process.argv[2] ?? 'all';
  return given === 'all' ? undefined : Number(given);
}

/** Tell that the library is imported; models may be loaded later. */
function imported() {
  say({ imported: true });
}

/** The most memory that this process has had resident. */
function peakMb() {
  const status = fs.existsSync('/proc/self/status') ? fs.readFileSync('/proc/self/status', 'utf8') : '';
  const found = /VmHWM:\s+(\d+)/.exec(status);
  return (found ? Number(found[1]) : process.resourceUsage().maxRSS) / 1024;
}

async function answerTo(request, system) {
  if (request.about) {
    const versions = system.packages.map((name) => [name, versionOf(name, system.folder)]);
    return { versions: { Node: process.versions.node, ...Object.fromEntries(versions) }, lacks: null };
  }
  const photo = request.photo && fs.readFileSync(request.photo);
  const crops = request.crops?.map((crop) => Buffer.from(crop, 'base64'));
  const started = performance.now();
  const answer = photo ? { faces: await system.analyze(photo) } : { scores: await system.classify(crops) };
  return { seconds: (performance.now() - started) / 1000, ...answer };
}

function versionOf(name, folder) {
  return JSON.parse(fs.readFileSync(`${folder}/node_modules/${name}/package.json`, 'utf8')).version;
}

/** Answer until standard input ends; system: { folder, packages, analyze, classify }. */
async function serve(system) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let answer;
    try {
      answer = await answerTo(JSON.parse(line), system);
    } catch (error) {
      answer = { error: `${error.name}: ${error.message}` };
    }
    say({ ...answer, peak_mb: peakMb() });
  }
}

module.exports = { CROP_SIDE, imported, serve, threads };
