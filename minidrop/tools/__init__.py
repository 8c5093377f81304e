"""For those who write ops: is a gradient right (`gradcheck`), and what does a graph look like (`draw_graph`)?"""
