// @vladmandic/human as a worker process of benchmarks/peers/protocol.js. Argument: threads, for the decoder only.
//
// Its Node version needs TensorFlow's native library, which @tensorflow/tfjs-node downloads from another
// host during installation. This is its WebAssembly version, which always uses one thread on Node.
// Parts that emotions do not need are off, caches between frames too, and up to 50 faces are returned
// instead of one. Other settings are the defaults.

const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const { CROP_SIDE, imported, serve, threads } = require('../protocol.js');

const MODULES = path.join(__dirname, 'node_modules');
const folderUrl = (...parts) => `${pathToFileURL(path.join(MODULES, ...parts)).href}/`;

// It reads its models with fetch, which does not read files in Node.
const fetchFromWeb = globalThis.fetch;
globalThis.fetch = async (address, ...rest) => (String(address).startsWith('file:')
  ? new Response(fs.readFileSync(new URL(address))) : fetchFromWeb(address, ...rest));

// By its path: the package does not export this version.
const { Human } = require(path.join(MODULES, '@vladmandic/human/dist/human.node-wasm.js'));
const sharp = require('sharp');

imported();

if (threads()) sharp.concurrency(threads());

const human = new Human({
  backend: 'wasm',
  wasmPath: path.join(MODULES, '@tensorflow/tfjs-backend-wasm/dist/'),
  modelBasePath: folderUrl('@vladmandic/human/models'),
  cacheSensitivity: 0,
  face: {
    detector: { maxDetected: 50 }, iris: { enabled: false }, description: { enabled: false },
  },
  body: { enabled: false },
  hand: { enabled: false },
  gesture: { enabled: false },
});

async function analyze(file) {
  await human.load();
  const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const pixels = human.tf.tensor(data, [1, info.height, info.width, 3], 'float32');
  const result = await human.detect(pixels);
  human.tf.dispose(pixels);
  if (result.error) throw new Error(result.error);
  return result.face.map(({ box: [left, top, width, height], emotion }) => ({
    box: [left, top, left + width, top + height],
    scores: Object.fromEntries((emotion ?? []).map(({ emotion: label, score }) => [label, score])),
  }));
}

// It has no function for cropped faces, so its network is called in the same way as by the library.
async function classify(crops) {
  await human.load();
  const { tf } = human;
  const labels = ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'];
  return crops.map((crop) => {
    const scores = tf.tidy(() => {
      const grey = tf.div(tf.tensor(crop, [1, CROP_SIDE, CROP_SIDE, 1], 'float32'), 255);
      const resized = tf.image.resizeBilinear(grey, [64, 64], false);
      return human.models.models.emotion.execute(tf.mul(tf.sub(resized, 0.5), 2)).dataSync();
    });
    return Object.fromEntries(labels.map((label, index) => [label, scores[index]]));
  });
}

const packages = ['@vladmandic/human', '@tensorflow/tfjs-backend-wasm', 'sharp'];
serve({ folder: __dirname, packages, analyze, classify });
