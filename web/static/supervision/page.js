// The page of the supervision: the tree and what can be told to it, the brokers with their links, what has crashed.

import { refresh, start } from "../core/frame.js";
import { brokers, startBrokers } from "./brokers.js";
import { crashes, startCrashes } from "./crashes.js";
import { node, startNode } from "./node.js";
import { startTree, tree } from "./tree.js";

start({
  panels: [tree, node, brokers, crashes],
  often: [tree, node, brokers],
  events: {
    link: () => refresh(brokers),
    supervision: () => refresh(tree, node, crashes),
  },
  ready: (role) => {
    const mayOperate = role === "operate" || role === "admin";
    startTree();
    startNode(mayOperate);
    startBrokers(mayOperate);
    startCrashes();
  },
});
